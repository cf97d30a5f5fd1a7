--[[
  What a script reads once and writes once, however many calls it grants: `finish` at its end writes it.
  Needs `tag`, `now`.
]]
local dayMs = 86400000

-- By pool: slots, calls out, virtual clock per class, whose turn it is, and what is to be written of it.
local pools = {}
local expiries = {}

-- By `<pool>:<class>`, of the calls in lanes: since when one waits, or false as it waits no more.
local waitChanges = {}

-- Buckets that lanes have begun to wait for, and those that none waits for any more.
local ringChanges = {}

local function poolOf(name)
  local pool = pools[name]
  if pool then return pool end
  local stored = redis.call('HMGET', tag .. ':pool:' .. name, 'slots', 'clock:i', 'clock:b', 'turn')
  pool = {
    slots = tonumber(stored[1] or 0),
    clock = {i = tonumber(stored[2] or 0), b = tonumber(stored[3] or 0)},
    turn = tonumber(stored[4] or 0),
    out = redis.call('HLEN', tag .. ':out:' .. name),
    ends = {},
    held = {},
    promoted = {},
  }
  pools[name] = pool
  return pool
end

local function expireIn(key, ms)
  expiries[key] = ms
end

local function waitsOf(pool, class)
  local where = pool .. ':' .. class
  waitChanges[where] = waitChanges[where] or {}
  return waitChanges[where]
end

-- A call goes into a lane.
local function beginWaiting(pool, class, call)
  waitsOf(pool, class)[call] = now
end

-- It leaves its lane, or a worker has it although its turn has not come: its deadline has.
local function endWaiting(pool, class, call)
  local waits = waitsOf(pool, class)
  if waits[call] then waits[call] = nil else waits[call] = false end
end

-- A ring that is left and joined again within one script stays listed.
local function noteRing(bucket, isThere)
  if ringChanges[bucket] == not isThere then ringChanges[bucket] = nil else ringChanges[bucket] = isThere end
end

local function saveWaits(where, changes)
  local key, began, over = tag .. ':waiting:' .. where, {}, {}
  for call, since in pairs(changes) do
    if since then
      began[#began + 1] = string.format('%.0f', since)
      began[#began + 1] = call
    else
      over[#over + 1] = call
    end
  end
  if #over > 0 then redis.call('ZREM', key, unpack(over)) end
  if #began == 0 then return end
  redis.call('ZADD', key, unpack(began))
  redis.call('PEXPIRE', key, dayMs)
end

local function saveRings()
  for bucket, isThere in pairs(ringChanges) do
    redis.call(isThere and 'SADD' or 'SREM', tag .. ':rings', bucket)
    if isThere then expireIn(tag .. ':rings', dayMs) end
  end
end

-- Where the last start of each user ends, and the clock, which forgets those it has passed.
local function saveClock(name, class, ends)
  local pool, places = pools[name], {}
  for user, place in pairs(ends) do
    places[#places + 1] = place
    places[#places + 1] = user
  end
  local tags = tag .. ':tags:' .. name .. ':' .. class
  redis.call('ZADD', tags, unpack(places))
  redis.call('ZREMRANGEBYSCORE', tags, '-inf', '(' .. string.format('%.17g', pool.clock[class]))
  redis.call('PEXPIRE', tags, dayMs)
  redis.call('HSET', tag .. ':pool:' .. name, 'clock:' .. class, pool.clock[class], 'turn', pool.turn)
end

-- A worker is not woken for a queue that is paused or runs as many as somebody allows it.
local function isHeldUp(queue)
  local paused, most = unpack(redis.call('HMGET', queue .. ':meta', 'paused', 'concurrency'))
  return paused or (most and redis.call('LLEN', queue .. ':active') >= tonumber(most))
end

local function savePool(name, pool)
  for class, ends in pairs(pool.ends) do saveClock(name, class, ends) end
  if #pool.held > 0 then redis.call('HSET', tag .. ':out:' .. name, unpack(pool.held)) end
  if #pool.promoted == 0 then return end
  local queue = tag .. ':calls-' .. name
  redis.call('LPUSH', queue .. ':wait', unpack(pool.promoted))
  if not isHeldUp(queue) then redis.call('ZADD', queue .. ':marker', 0, '0') end
end

local function finish()
  for name, pool in pairs(pools) do savePool(name, pool) end
  for where, changes in pairs(waitChanges) do saveWaits(where, changes) end
  saveRings()
  for key, ms in pairs(expiries) do redis.call('PEXPIRE', key, ms) end
end
