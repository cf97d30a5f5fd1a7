--[[
  Tells how the queues stand: what waits, for how long and for what, what runs, and what is dead. Read once for all who
  ask within a moment. Its cost is bounded: of a long list it looks at so many, and tells the rest by them. What it
  writes is by the way: a Redis that is full, or has lost its disk or its replicas, is the one to be looked at.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  how old an answer may be that was read for somebody else, ms
  Returns JSON {now, workers: [entry], runs: {queued, running, waiting}, pools: {<pool>: {waiting: {i, b}, since: {i, b},
  active, held: {<worker>: calls}, delayed, dead, lanes: {<class> <reason>: {lanes, calls}}}}}; what there is none of is
  absent
]]
local tag = KEYS[1]
-- @include admission/lib/now.lua
readClock()
local keptMs = 60000

-- Looked at of one list: jobs in `wait`, of which the envelopes are read; jobs that run, or entries that may be stale.
local most = 100
local mostKeys = 1000

-- Bytes of envelopes that are read in all, as an argument may be large: 512 KB are about 2 ms.
local mostBytes = 524288

-- Places at which a list that is longer is looked at.
local places = 100

-- Lanes and rings looked at in all.
local mostLanes = 1000
local mostRings = 300

local kept = redis.call('GET', tag .. ':fleet')
local at = kept and tonumber(kept:match('"now":(%d+)'))
if at and now - at < tonumber(ARGV[1]) then return kept end

local function bull(pool, part)
  return tag .. ':calls-' .. pool .. ':' .. part
end

local function waitingKey(pool, class)
  return tag .. ':waiting:' .. pool .. ':' .. class
end

-- The oldest call of a class that waits in a lane, without those that do not any more: nothing else tells of them.
local function oldestInLanes(pool, class)
  local passed = 0
  for _ = 1, mostKeys do
    local key, since = unpack(redis.call('ZRANGE', waitingKey(pool, class), passed, passed, 'WITHSCORES'))
    if not key then return nil end
    if redis.call('ZSCORE', bull(pool, 'delayed'), key) then return tonumber(since) end
    if redis.pcall('ZREM', waitingKey(pool, class), key) ~= 1 then passed = passed + 1 end
  end
end

-- Of the calls that have been let go and are next, or all where no lanes are: class, and since when each waits. Quotes
-- that come from outside are escaped, so these fields are the envelope's own. The next of all is read however large.
local function countReleased(pool, told, bytes)
  local count = redis.call('LLEN', bull(pool, 'wait'))
  local seen, batch = 0, 0
  local released = redis.call('LRANGE', bull(pool, 'wait'), -most, -1)
  for i = #released, 1, -1 do
    local job = bull(pool, released[i])
    local size = redis.call('HSTRLEN', job, 'data')
    local data = (size <= bytes or seen == 0) and redis.call('HGET', job, 'data')
    if data then
      bytes = bytes - size
      local class = data:find('"class":"batch"', 1, true) and 'b' or 'i'
      local since = tonumber(data:match('^"enqueuedAt":(%d+)', data:find('"enqueuedAt":', 1, true)) or nil)
      seen = seen + 1
      if class == 'b' then batch = batch + 1 end
      if since then told.since[class] = math.min(since, told.since[class] or since) end
    end
  end
  local ofBatch = seen > 0 and math.floor(count * batch / seen + 0.5) or 0
  told.waiting.b = told.waiting.b + ofBatch
  told.waiting.i = told.waiting.i + count - ofBatch
end

-- Jobs that run: all, or some of every part of the list, as one worker's stand together where it took many at once.
local function lookAtActive(pool, count)
  if count <= mostKeys then return redis.call('LRANGE', bull(pool, 'active'), 0, -1) end
  local seen, each = {}, mostKeys / places
  for place = 0, places - 1 do
    local first = math.floor(place * count / places)
    for _, key in ipairs(redis.call('LRANGE', bull(pool, 'active'), first, first + each - 1)) do
      seen[#seen + 1] = key
    end
  end
  return seen
end

local function countHeld(pool, count)
  local held, seen = {}, lookAtActive(pool, count)
  for _, key in ipairs(seen) do
    local worker = redis.call('HGET', bull(pool, key), 'pb')
    if worker then held[worker] = (held[worker] or 0) + count / #seen end
  end
  return held
end

local function readPool(pool, bytes)
  local told = {waiting = {}, since = {}, lanes = {}}
  local inLanes = 0
  for _, class in ipairs({'i', 'b'}) do
    told.since[class] = oldestInLanes(pool, class)
    told.waiting[class] = redis.call('ZCARD', waitingKey(pool, class))
    inLanes = inLanes + told.waiting[class]
  end
  countReleased(pool, told, bytes)
  told.active = redis.call('LLEN', bull(pool, 'active'))
  told.held = countHeld(pool, told.active)
  told.delayed = math.max(0, redis.call('ZCARD', bull(pool, 'delayed')) - inLanes)
  told.dead = redis.call('ZCARD', bull(pool, 'failed'))
  return told
end

local pools = {}
local names = redis.call('ZRANGE', tag .. ':pools', 0, -1)
for _, pool in ipairs(names) do pools[pool] = readPool(pool, mostBytes / #names) end

-- Lanes that stand in one place. Each counts as `weight` of its kind, as not all of them are looked at.
local function countLanes(place, reason, weight)
  local lanes = redis.call('ZRANGE', place, 0, math.max(0, mostLanes - 1))
  local each = #lanes > 0 and weight * redis.call('ZCARD', place) / #lanes or 0
  mostLanes = mostLanes - #lanes
  for _, lane in ipairs(lanes) do
    local pool, class = lane:match('^([^:]*):(%a)')
    if pools[pool] then
      local key = class .. ' ' .. reason
      local counted = pools[pool].lanes[key] or {lanes = 0, calls = 0}
      pools[pool].lanes[key] = counted
      counted.lanes = counted.lanes + each
      counted.calls = counted.calls + each * redis.call('LLEN', tag .. ':lane:' .. lane)
    end
  end
end

local reasons = {r = 'rate', c = 'concurrency', x = 'retry_after'}

local function countRings()
  redis.pcall('PEXPIRE', tag .. ':rings', 86400000)
  local rings = redis.call('SRANDMEMBER', tag .. ':rings', mostRings)
  local weight = #rings > 0 and redis.call('SCARD', tag .. ':rings') / #rings or 0
  for i, bucket in ipairs(rings) do
    local ring = tag .. ':bucket:' .. bucket .. ':lanes'
    if redis.call('EXISTS', ring) == 0 then redis.pcall('SREM', tag .. ':rings', bucket)
    else countLanes(ring, reasons[bucket:sub(1, 1)], weight) end
  end
end

for pool in pairs(pools) do
  for _, class in ipairs({'i', 'b'}) do countLanes(tag .. ':ready:' .. pool .. ':' .. class, 'share', 1) end
end
countRings()

local workers = {}
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', tag .. ':workers', now, '+inf')) do
  workers[#workers + 1] = cjson.decode(entry)
end
local runs = tag .. ':runs:'
local told = cjson.encode({
  now = math.floor(now),
  workers = workers,
  pools = pools,
  runs = {
    queued = redis.call('LLEN', runs .. 'wait'),
    running = redis.call('LLEN', runs .. 'active'),
    waiting = redis.call('ZCARD', runs .. 'delayed'),
  },
})
redis.pcall('SET', tag .. ':fleet', told, 'PX', keptMs)
return told
