--[[
  Somebody reads the events of a run, or goes on reading. Where they were not written just now, they begin with one that
  says where the run stands.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  owner
  ARGV[3]  for how long they are written, ms
  ARGV[4]  the channel of workers, and ARGV[5] what they are told
  Returns 'unknown' | number of the last event, 1 where the run has ended | 0
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
local id = ARGV[1]
local key = runKey(id)
local owner, ended, endTold, holder, watchedUntil, cancelled, parked = unpack(
  redis.call('HMGET', key, 'owner', 'end', 'endTold', 'holder', 'watchedUntil', 'cancelledAt', 'parkedAt')
)
if owner ~= ARGV[2] then return {'unknown'} end

local function stateNow()
  if cancelled then return 'cancelled' end
  if parked then return 'waiting' end
  return holder and 'running' or 'queued'
end

local function tellEnd()
  local said = cjson.decode(ended)
  writeEvents(id, {cjson.encode({type = 'end', state = said.state, stop = said.stop, error = said.error})})
  redis.call('HSET', key, 'endTold', 1)
end

local function beginTelling()
  writeEvents(id, {'{"type":"state","state":"' .. stateNow() .. '"}'})
  if holder then tellDispatcher(holder, id, 'watched') end
  redis.call('PUBLISH', ARGV[4], ARGV[5])
end

if ended and not endTold then tellEnd() end
if not ended then
  redis.call('HSET', key, 'watchedUntil', string.format('%.0f', timeMs() + ARGV[3]))
  if not isWatched(watchedUntil) then beginTelling() end
end
return {tonumber(redis.call('HGET', key, 'events') or 0), ended and 1 or 0}
