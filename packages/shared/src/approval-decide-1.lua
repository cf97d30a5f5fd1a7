--[[
  Writes down what a person decided on a call, the first time, and sends the call back to a worker.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  key of the call
  ARGV[2]  the decision, a JSON object without its time
  Returns a pair
    'written', JSON     the decision, with its time
    'decided', JSON     the one that stands already
    'over', ''          the call has ended, or the time is over
    'unknown', ''       nobody was asked
]]
local tag = KEYS[1]
-- @include admission/lib/now.lua
-- @include admission/lib/later.lua
-- @include admission/lib/bullmq.lua
readClock()
local key = ARGV[1]
local question = tag .. ':approval:' .. key
local pool, owner, dueAt, decision = unpack(redis.call('HMGET', question, 'pool', 'owner', 'dueAt', 'decision'))

if not pool then return {'unknown', ''} end
if decision then return {'decided', decision} end
if tonumber(dueAt) <= now or redis.call('EXISTS', tag .. ':outcome:' .. key) == 1 then return {'over', ''} end

-- Not through cjson, which makes an object of an empty list.
decision = ARGV[2]:sub(1, -2) .. string.format(',"at":%.0f}', now)
redis.call('HSET', question, 'decision', decision)
redis.call('ZREM', tag .. ':approvals:' .. owner, key)
promote(pool, key)
finish()
return {'written', decision}
