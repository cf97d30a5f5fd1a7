--[[
  Grants what may start. `serve(pools)` after anything that frees a slot or a bucket, or puts a call into a lane.
  Needs `tag`, `now`, later.lua, bullmq.lua, buckets.lua, lanes.lua.
]]
-- Lanes one script looks at, about 10 µs each; the pump goes on where it stopped.
local steps = 200

-- Calls of one lane that are granted together at most, where no other lane comes between them.
local maxRun = 16

-- Under saturation batch gets one start in nine, 11 %.
local batchTurn = 9

-- A lane where it is found: {lane, about, place = the set it stands in, bucket = whose ring that is, if it is one}.
local function leavePlace(found)
  redis.call('ZREM', found.place, found.lane)
  if found.bucket and not touch(found.bucket) then noteRing(found.bucket, false) end
end

local function hasRoom(pool)
  return poolOf(pool).out < poolOf(pool).slots
end

-- False when the job waits no more: it was withdrawn, or has come to a worker at its deadline.
local function grant(about, call, bucket)
  endWaiting(about.p, about.c, call.key)
  if call.deadline <= now or not promote(about.p, call.key) then return false end
  takeUp(about, call)
  local why = bucket and ',"bucket":"' .. bucket .. '"' or ''
  note(about.p, call.key, string.format('{"granted":"%.3f"%s}', now, why))
  return true
end

-- After the first calls of a lane have gone: to the place of its next, or away.
local function moveUp(found, texts, gone, ends)
  redis.call('LPOP', laneKey(found.lane), gone)
  local isOver = gone == #texts
  if isOver or found.bucket then leavePlace(found) end
  if isOver then dropLane(found.lane) else lineUp(found.lane, found.about, ends) end
end

-- The first call of a lane waits for `met`: leaves the lane where that is found.
local function putAside(found, met)
  if met.bucket ~= found.bucket then
    leavePlace(found)
    joinRing(found.lane, found.about, met)
  elseif met.at then
    redis.call('ZADD', tag .. ':later', met.at, met.bucket)
  end
end

-- Grants the first call of a lane, and those behind it that would go before what stands at `before`.
local function grantFirst(found, texts, call, before)
  local about, gone, ends = found.about, 0, nil
  repeat
    if grant(about, call, found.bucket) then ends = countStart(about, (startTag(about))) end
    gone = gone + 1
    call = gone < #texts - 1 and ends and ends < before and hasRoom(about.p) and parseCall(texts[gone + 1])
  until not call or obstacleOf(about, call)
  moveUp(found, texts, gone, ends)
  return ends ~= nil
end

-- Grants the next calls of a lane, or puts the lane where it is found when what it waits for comes.
local function tryLane(lane, place, bucket, before)
  local about = aboutLane(lane)
  local found = {lane = lane, about = about, place = place, bucket = bucket}
  local texts = about and redis.call('LRANGE', laneKey(lane), 0, before and maxRun or 1)
  if not texts or #texts == 0 then
    leavePlace(found)
    if about then dropLane(lane) end
    return false
  end
  local call = parseCall(texts[1])
  local met = obstacleOf(about, call, bucket and {[bucket] = true})
  if met and met.refuse then
    endWaiting(about.p, about.c, call.key)
    if promote(about.p, call.key) then refuse(about.p, call, met) end
    moveUp(found, texts, 1)
  elseif met then
    putAside(found, met)
  elseif hasRoom(about.p) then
    return grantFirst(found, texts, call, before or 0)
  elseif bucket then
    leavePlace(found)
    lineUp(lane, about)
  end
  return false
end

local function serveDue()
  while steps > 0 do
    local bucket = redis.call('ZRANGEBYSCORE', tag .. ':later', '-inf', now, 'LIMIT', 0, 1)[1]
    if not bucket then return end
    steps = steps - 1
    redis.call('ZREM', tag .. ':later', bucket)
    local lane = redis.call('ZRANGE', ringKey(bucket), 0, 0)[1]
    if lane then tryLane(lane, ringKey(bucket), bucket) end
  end
end

-- The first two lanes and their places.
local function firstOf(ready)
  if isEmpty[ready] then return {} end
  local first = redis.call('ZRANGE', ready, 0, 1, 'WITHSCORES')
  isEmpty[ready] = not first[1]
  return first
end

-- Interactive before batch, which gets its turn when both wait.
local function nextReady(pool)
  local ready = tag .. ':ready:' .. pool
  local interactive, batch = firstOf(ready .. ':i'), firstOf(ready .. ':b')
  local contended = interactive[1] and batch[1]
  local isBatchs = contended and poolOf(pool).turn % batchTurn == batchTurn - 1
  if interactive[1] and not isBatchs then return interactive, ready .. ':i', contended end
  return batch, ready .. ':b', contended
end

-- A user with several lanes moves on in all of them: a place that has grown too good is mended when it comes up.
local function isTooGood(lane, score, place)
  local about = aboutLane(lane)
  local start = about and startTag(about) or 0
  local clock = about and poolOf(about.p).clock[about.c] or 0
  if start <= clock or start <= tonumber(score) then return false end
  redis.call('ZADD', place, start, lane)
  return true
end

local function servePool(pool)
  while steps > 0 and hasRoom(pool) do
    local first, place, contended = nextReady(pool)
    if not first[1] then return end
    steps = steps - 1
    local before = not contended and tonumber(first[4] or 'inf') or nil
    if not isTooGood(first[1], first[2], place) and tryLane(first[1], place, nil, before) and contended then
      poolOf(pool).turn = poolOf(pool).turn + 1
    end
  end
end

-- What has come due, then what misses a slot only: in these pools, and in those of the lanes that had come due, as the
-- next call of such a lane stands there now.
local function grantAll(names)
  for _, pool in ipairs(names) do poolOf(pool) end
  serveDue()
  local seen = {}
  for pool in pairs(pools) do seen[#seen + 1] = pool end
  for _, pool in ipairs(seen) do servePool(pool) end
end

-- When there is something to do again, ms, or nil.
local function nextDue()
  if steps <= 0 then return now end
  return tonumber(redis.call('ZRANGE', tag .. ':later', 0, 0, 'WITHSCORES')[2] or nil)
end

-- Wakes the pump where it means to sleep past the next due time.
local function tellPump()
  local due = nextDue()
  if not due then return end
  local plan = redis.call('GET', tag .. ':pump:plan')
  if not plan or tonumber(plan) <= due then return end
  redis.call('SET', tag .. ':pump:plan', due, 'KEEPTTL')
  redis.call('PUBLISH', tag .. ':admission', cjson.encode({due = due}))
end

local function hasWork(names)
  local keys = {tag .. ':later'}
  for _, pool in ipairs(names) do
    keys[#keys + 1] = tag .. ':ready:' .. pool .. ':i'
    keys[#keys + 1] = tag .. ':ready:' .. pool .. ':b'
  end
  return redis.call('EXISTS', unpack(keys)) > 0
end

local function serve(names)
  if not hasWork(names) then return finish() end
  readClock()
  grantAll(names)
  tellPump()
  finish()
end
