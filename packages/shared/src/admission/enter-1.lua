--[[
  Takes calls in: each starts at once, is to be refused, or goes into its lane. Their jobs exist: in `wait`, added
  just before in the same transaction, or in `delayed`, put there by a worker that may not start them now.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  pool
  ARGV[2]  JSON {lanes: {<lane>: <about>}, calls}, see lib/lanes.lua; a call is
           [text as it stands in a lane, lane, is a takeover 0 | 1]
  ARGV[3]  'new', 'gated' where some of them may have been refused by runs/gate-1.lua, or 'again' for calls that come
           from a worker and go to the head of their lanes
]]
local tag = KEYS[1]
-- @include lib/now.lua
-- @include lib/later.lua
-- @include lib/bullmq.lua
-- @include lib/buckets.lua
-- @include lib/lanes.lua
-- @include lib/serve.lua
-- @include ../runs/lib/run.lua
readClock()
local pool, request, isNew = ARGV[1], cjson.decode(ARGV[2]), ARGV[3] ~= 'again'
local laneTtlMs = 31 * dayMs
local parked = {}

local function holdsSomething(key)
  return redis.call('HEXISTS', tag .. ':out:' .. pool, key) == 1
end

local function read(given)
  local call = parseCall(given[1])
  call.lane = given[2]
  call.about = request.lanes[call.lane]
  -- A key that was used before may have a job already: then nothing was added, and it stands where it stands.
  call.isThere = isNew
    and given[3] == 1
    and (holdsSomething(call.key) or not redis.call('LPOS', bull(pool, 'wait'), call.key))
  return call
end

-- Nobody waits for a slot, and nobody before it in its lane.
local function meetsNobody(call)
  local ready = tag .. ':ready:' .. pool
  return redis.call('EXISTS', laneKey(call.lane), ready .. ':i', ready .. ':b') == 0 and hasRoom(pool)
end

-- Of the first calls of a lane, those that wait no more: a call whose deadline is over is dropped when its turn comes.
local function countDead(lane)
  local dead = 0
  for _, text in ipairs(redis.call('LRANGE', laneKey(lane), 0, 99)) do
    if parseCall(text).deadline <= now then dead = dead + 1 end
  end
  return dead
end

-- A rate that cannot come to a call before its deadline, counting those before it in the lane as one each.
local function hopelessBehind(call, before)
  for i, limit in ipairs(call.about.l) do
    if limit.b:sub(1, 1) == 'r' then
      local at = rateAt(limit, before + (call.costs[i] or 1))
      if at > call.deadline then return {refuse = 'rate_limited', bucket = limit.b, at = at} end
    end
  end
end

local function hopeless(call)
  local before = redis.call('LLEN', laneKey(call.lane))
  if not hopelessBehind(call, before) then return nil end
  return hopelessBehind(call, before - countDead(call.lane))
end

local reasons = {r = 'rate', c = 'concurrency', x = 'retry_after'}

-- Whoever reads the events of a durable run is told what a call waits for, and until when if that is known.
local function tellWaiting(call, met)
  local run = call.key:match('^(.+)%.%d+%.%d+$')
  if not isWatched(redis.call('HGET', runKey(run), 'watchedUntil')) then return end
  local bucket = met and met.bucket or ''
  writeEvents(run, {cjson.encode({
    type = 'call.waiting',
    key = call.key,
    tool = redis.call('HGET', bull(pool, call.key), 'name'),
    reason = reasons[bucket:sub(1, 1)] or 'share',
    ['until'] = met and met.at and math.ceil(met.at) or nil,
  })})
end

local function putInLane(call)
  local length = redis.call(isNew and 'RPUSH' or 'LPUSH', laneKey(call.lane), call.text)
  abouts[call.lane] = call.about
  beginWaiting(pool, call.about.c, call.key)
  if length == 1 then lineUp(call.lane, call.about) end
  parked[#parked + 1] = call
end

local function enter(call)
  if call.isThere then return end
  if not isNew then return putInLane(call) end
  local met = meetsNobody(call)
  if met then
    met = obstacleOf(call.about, call)
    if not met then return takeUp(call.about, call) end
  end
  local refusal = (met and met.refuse and met) or hopeless(call)
  if refusal then return refuse(pool, call, refusal) end
  putInLane(call)
  if ARGV[3] == 'gated' then tellWaiting(call, met) end
end

local gated = {}
if ARGV[3] == 'gated' then
  for _, key in ipairs(redis.call('SMEMBERS', tag .. ':refused')) do gated[key] = true end
end

for _, given in ipairs(request.calls) do
  local call = read(given)
  if not gated[call.key] then enter(call) end
end

-- The last one added stands at the head of `wait`.
for i = #parked, 1, -1 do park(pool, parked[i].key, parked[i].deadline) end
for lane, about in pairs(request.lanes) do
  if abouts[lane] and redis.call('PEXPIRE', laneKey(lane), laneTtlMs) == 1 then
    redis.call('SET', laneKey(lane) .. ':about', cjson.encode(about), 'PX', laneTtlMs)
  end
end
if #parked > 0 then serve({pool}) else finish() end
