--[[
  Asks for a person's approval of a call, once, or tells what became of the question.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  key of the call
  ARGV[2]  pool in which its job is
  ARGV[3]  its owner
  ARGV[4]  what may be known of it when its job is gone, JSON
  ARGV[5]  for how long it may wait, ms
  ARGV[6]  its deadline, ms
  ARGV[7]  until when the question is kept, ms
  Returns a pair
    'pending', until when it waits, ms
    'decided', JSON     the decision
    'expired', ''       nobody decided in time
    'settled', JSON     the outcome that stands already
]]
local tag = KEYS[1]
-- @include admission/lib/now.lua
readClock()
local key, pool, owner, about = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local timeoutMs, deadlineAt, keptUntil = ARGV[5], ARGV[6], ARGV[7]
local question, pending = tag .. ':approval:' .. key, tag .. ':approvals:' .. owner

local standing = redis.call('GET', tag .. ':outcome:' .. key)
if standing then return {'settled', standing} end

local askedFor, dueAt, decision = unpack(redis.call('HMGET', question, 'deadlineAt', 'dueAt', 'decision'))
-- A key may be used again once its outcome is forgotten: what was decided then is not meant for this call.
if askedFor ~= deadlineAt then
  decision = false
  dueAt = string.format('%.0f', math.min(now + tonumber(timeoutMs), tonumber(deadlineAt)))
  redis.call('DEL', question)
  redis.call('HSET', question, 'owner', owner, 'askedAt', math.floor(now), 'dueAt', dueAt, 'deadlineAt', deadlineAt)
end
if decision then return {'decided', decision} end
if tonumber(dueAt) <= now then return {'expired', ''} end

redis.call('HSET', question, 'pool', pool, 'about', about)
redis.call('PEXPIREAT', question, keptUntil)
redis.call('ZADD', pending, dueAt, key)
redis.call('ZREMRANGEBYSCORE', pending, '-inf', now)
redis.call('PEXPIREAT', pending, redis.call('ZRANGE', pending, -1, -1, 'WITHSCORES')[2])
return {'pending', dueAt}
