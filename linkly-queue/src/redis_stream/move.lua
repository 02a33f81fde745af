-- Puts the fields and values ARGV[3] and on into the stream KEYS[2] in the place of the entry ARGV[2] of the stream
-- KEYS[1] with the group ARGV[1], unless that entry is gone. Added first: where that fails, nothing is deleted.
if #redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
return 1
