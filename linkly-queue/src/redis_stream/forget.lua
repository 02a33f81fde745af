-- Deletes consumers of the group ARGV[1] of the stream KEYS[1] that hold nothing and have not asked for ARGV[2]
-- milliseconds. In one step: one that is given clicks in between must not lose them.
local consumers = redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
for _, fields in ipairs(consumers) do
  local of = {}
  for at = 1, #fields, 2 do of[fields[at]] = fields[at + 1] end
  if of.pending == 0 and of.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], of.name)
  end
end
