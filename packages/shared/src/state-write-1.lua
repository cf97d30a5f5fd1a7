--[[
  Writes the state of a conversation, if nobody did since it was read.

  KEYS[1]  HASH of the conversation: `state` JSON, `stateVersion` counts its writes, `stateWrite` names the last one.
           The other parts of the conversation are keys that begin with this one
  ARGV[1]  the version that was read
  ARGV[2]  the new state, JSON
  ARGV[3]  a name for this write: sent again after a lost connection it is the same write
  ARGV[4]  how long the conversation is kept, ms
  Returns 1, version | 0, version, state as it stands
]]
local held = redis.call('HMGET', KEYS[1], 'stateVersion', 'stateWrite', 'state')
local version, write, state = tonumber(held[1] or 0), held[2], held[3]
if write == ARGV[3] then return {1, version} end
if version ~= tonumber(ARGV[1]) then return {0, version, state} end
redis.call('HSET', KEYS[1], 'stateVersion', version + 1, 'stateWrite', ARGV[3], 'state', ARGV[2])
for _, part in ipairs({'', ':messages', ':runs'}) do
  redis.call('PEXPIRE', KEYS[1] .. part, ARGV[4], 'GT')
  redis.call('PEXPIRE', KEYS[1] .. part, ARGV[4], 'NX')
end
return {1, version + 1}
