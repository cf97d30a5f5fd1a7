--[[
  Cancels a run: from here on none of its calls is enqueued. Whoever holds it is told, and so are the workers; where
  nobody does, its job goes to the head of the line, and whoever picks it up ends it.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  owner
  ARGV[3]  who cancelled it and why, JSON
  ARGV[4]  the channel of workers, and ARGV[5] what they are told
  Returns 'unknown' | 'ended' | 'cancelled', 1 for the first to do so | 0
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
local id = ARGV[1]
local key = runKey(id)
local owner, ended, holder = unpack(redis.call('HMGET', key, 'owner', 'end', 'holder'))
if owner ~= ARGV[2] then return {'unknown'} end
if ended then return {'ended'} end
local isFirst = redis.call('HSETNX', key, 'cancelledAt', timeMs())
if isFirst == 1 then
  redis.call('HSET', key, 'cancelledBy', ARGV[3])
  emit(id, {'{"type":"state","state":"cancelled"}'})
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
if holder then tellDispatcher(holder, id, 'cancelled') end
if not wakeRun(id) and redis.call('LREM', tag .. ':runs:wait', 1, id) == 1 then
  redis.call('RPUSH', tag .. ':runs:wait', id)
end
return {'cancelled', isFirst}
