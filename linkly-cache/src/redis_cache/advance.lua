-- Moves the place in the change log, if it is still where the caller has found it.
-- KEYS[1] its key; ARGV[1] where it was found, or nothing where there was none; ARGV[2] where it goes;
-- ARGV[3] how long the key lives, in milliseconds.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
