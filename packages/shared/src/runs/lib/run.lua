--[[
  A run in Redis:
    run:<id>            HASH, see run-store.ts
    run:<id>:missing    SET of the calls that a parked run waits for
    events:<id>         STREAM of what happened, numbered from 1, while somebody asks for it
    runs:…              BullMQ's queue of runs; the job of a run has its id
  Needs `tag`, `now`.
]]
local maxEvents = 10000

local function runKey(id)
  return tag .. ':run:' .. id
end

local function missingKey(id)
  return runKey(id) .. ':missing'
end

local function outcomeKey(key)
  return tag .. ':outcome:' .. key
end

local function timeMs()
  readClock()
  return math.floor(now)
end

-- Writes numbered events, given as JSON objects, and tells who listens. Only for a run that is watched.
local function writeEvents(id, texts)
  local key = tag .. ':events:' .. id
  local last = redis.call('HINCRBY', runKey(id), 'events', #texts)
  for i, text in ipairs(texts) do
    local number = string.format('%.0f', last - #texts + i)
    redis.call('XADD', key, 'MAXLEN', '~', maxEvents, number .. '-0', 'e', text)
    redis.call('PUBLISH', key, '{"id":' .. number .. ',' .. text:sub(2))
  end
  redis.call('PEXPIRE', key, math.max(1, redis.call('PTTL', runKey(id))))
end

local function isWatched(watchedUntil)
  return watchedUntil and tonumber(watchedUntil) > timeMs()
end

local function emit(id, texts)
  if #texts > 0 and isWatched(redis.call('HGET', runKey(id), 'watchedUntil')) then writeEvents(id, texts) end
end

-- Tells a dispatcher something of a run: `ended`, `cancelled`, `watched`.
local function tellDispatcher(dispatcher, id, what)
  redis.call('PUBLISH', tag .. ':notice:' .. dispatcher, '[{"run":"' .. id .. '","is":"' .. what .. '"}]')
end

-- The job of a run that was put away: to the head of the line, as it has waited before.
local function wakeRun(id)
  local queue = tag .. ':runs:'
  if redis.call('ZREM', queue .. 'delayed', id) == 0 then return false end
  redis.call('HSET', queue .. id, 'delay', 0)
  redis.call('RPUSH', queue .. 'wait', id)
  redis.call('ZADD', queue .. 'marker', 0, '0')
  return true
end

-- The job of a run, from the line or from where it was put away: away until `dueAt`.
local function putAway(id, dueAt)
  local queue = tag .. ':runs:'
  local waits = redis.call('LREM', queue .. 'wait', 1, id) == 1
  if not waits and not redis.call('ZSCORE', queue .. 'delayed', id) then return end
  redis.call('ZADD', queue .. 'delayed', dueAt * 4096, id)
  redis.call('HSET', queue .. id, 'delay', math.max(0, dueAt - timeMs()))
  local first = redis.call('ZRANGE', queue .. 'delayed', 0, 0, 'WITHSCORES')[2]
  redis.call('ZADD', queue .. 'marker', math.floor(first / 4096), '1')
end
