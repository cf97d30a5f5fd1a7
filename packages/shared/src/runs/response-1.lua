--[[
  Records the model's response of a turn: the first one stands.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  fence of the writer
  ARGV[3]  turn
  ARGV[4]  the response and what was offered, JSON
  ARGV[5]  tokens it took
  ARGV[6]  the user's count of tokens of this day
  ARGV[7]  how long that is kept, ms
  ARGV[8…] events, JSON
  Returns 'stale' | 'gone' | 'written' | 'standing', JSON
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/fence.lua
local id, field = ARGV[1], 'r:' .. ARGV[3]
local refused = refusedBy(id, ARGV[2])
if refused then return {refused} end
if redis.call('HSETNX', runKey(id), field, ARGV[4]) == 0 then
  return {'standing', redis.call('HGET', runKey(id), field)}
end
if ARGV[5] ~= '0' then
  redis.call('INCRBY', ARGV[6], ARGV[5])
  redis.call('PEXPIRE', ARGV[6], ARGV[7])
end
emit(id, {unpack(ARGV, 8)})
return {'written'}
