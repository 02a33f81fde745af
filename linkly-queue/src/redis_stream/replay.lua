-- Puts the click ARGV[2] of the dead letter with the id ARGV[1] of the stream KEYS[1] back into the stream KEYS[2].
-- Answers whether the letter was there. Added first: where that fails, nothing is deleted.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', 'click', ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
