-- Stores an entry if the lease it was loaded under still stands.
-- KEYS[1] the code's key; ARGV[1] the lease; ARGV[2] the entry, or nothing for one that has ended;
-- ARGV[3] how long the key lives, in milliseconds.
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('UNLINK', KEYS[1])
else
  local time = redis.call('TIME')
  local stored_at = struct.pack('>I4I4', tonumber(time[1]), tonumber(time[2]))
  redis.call('SET', KEYS[1], ARGV[1] .. stored_at .. ARGV[2], 'PX', ARGV[3])
end
return 1
