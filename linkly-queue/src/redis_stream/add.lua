-- Adds clicks to the stream KEYS[1], all or none: ARGV[1] is how many it may hold, the rest are the clicks.
-- Answers whether there was room.
if redis.call('XLEN', KEYS[1]) + #ARGV - 1 > tonumber(ARGV[1]) then return 0 end
for at = 2, #ARGV do redis.call('XADD', KEYS[1], '*', 'click', ARGV[at]) end
return 1
