--[[
  A lane is the line in which the waiting calls of one user, in one pool and class, that the same limits hold, stand:
    lane:<lane>        LIST of `<key> <deadline> <costs> <cache id>`, the last two may be empty
    lane:<lane>:about  JSON {p pool, c class, u user, w weight, l limits}
    waiting:<pool>:<class>
                       ZSET of the calls in lanes by when they came: tells how many wait, and how long. Nothing is
                       decided by it, and one that was withdrawn by a process that died may stand there until its turn
  It stands in exactly one place: in `ready:<pool>:<class>` where only a slot is missing, or in the ring of the bucket
  that its next call waits for. Places go by start-time fair queuing (Goyal, Vin, Cheng 1996): a user's tag is where its
  last start ended on the virtual clock of the pool and class, which a start moves on by 1 / weight.
  Needs `tag`, `now`, later.lua, bullmq.lua, buckets.lua.
]]
local function laneKey(lane)
  return tag .. ':lane:' .. lane
end

local abouts = {}

local function aboutLane(lane)
  if abouts[lane] == nil then
    local text = redis.call('GET', laneKey(lane) .. ':about')
    abouts[lane] = text and cjson.decode(text)
  end
  return abouts[lane]
end

local function dropLane(lane)
  abouts[lane] = false
  redis.call('DEL', laneKey(lane) .. ':about')
end

local function readyKey(about)
  return tag .. ':ready:' .. about.p .. ':' .. about.c
end

local function tagsKey(about)
  return tag .. ':tags:' .. about.p .. ':' .. about.c
end

local function parseCall(text)
  local key, deadline, costs, cacheId = text:match('^(%S+) (%S+) (%S*) ?(%S*)$')
  local call = {text = text, key = key, deadline = tonumber(deadline), costs = {}, cacheId = cacheId}
  for cost in costs:gmatch('[^,]+') do call.costs[#call.costs + 1] = tonumber(cost) end
  return call
end

-- Where the last start of each user ended, by class, as far as this script has asked.
local lastEnds = {}

-- Virtual times are multiples of this, so that there is room between them.
local tick = 2 ^ -20

-- Equal users end at equal times, up to a whole round of them. Who has not started for longer goes before all of these.
local function beforeEquals(isIdle)
  return isIdle and tick / 2 or 0
end

-- Where a user's next start begins on the virtual clock, the clock, and whether the user has been idle for a while.
local function startTag(about)
  local key, clock = tagsKey(about), poolOf(about.p).clock[about.c]
  local ends = lastEnds[key] or {}
  lastEnds[key] = ends
  ends[about.u] = ends[about.u] or tonumber(redis.call('ZSCORE', key, about.u) or 0)
  return math.max(clock, ends[about.u]), clock, ends[about.u] < clock
end

-- Moves the clock on by a start of this user, and answers where its next one begins.
local function countStart(about, start)
  local pool = poolOf(about.p)
  pool.clock[about.c] = start
  pool.ends[about.c] = pool.ends[about.c] or {}
  local ends = start + math.ceil(1 / about.w / tick) * tick
  pool.ends[about.c][about.u] = ends
  lastEnds[tagsKey(about)][about.u] = ends
  return ends
end

-- Ready lanes this script has found to be none.
local isEmpty = {}

local function lineUp(lane, about, place)
  isEmpty[readyKey(about)] = nil
  if not place then
    local start, _, isIdle = startTag(about)
    place = start - beforeEquals(isIdle)
  end
  redis.call('ZADD', readyKey(about), place, lane)
  expireIn(readyKey(about), dayMs)
end

-- Into the ring of a bucket, as far behind its first as the user is behind the clock of its pool.
local function joinRing(lane, about, obstacle)
  local ring = ringKey(obstacle.bucket)
  local start, clock, isIdle = startTag(about)
  local standing = redis.call('ZRANGE', ring, 0, 0, 'WITHSCORES')
  local first = tonumber(standing[2] or 0)
  if not standing[1] then noteRing(obstacle.bucket, true) end
  redis.call('ZADD', ring, math.ceil(first / tick) * tick + start - clock - beforeEquals(isIdle), lane)
  expireIn(ring, dayMs)
  if obstacle.at then redis.call('ZADD', tag .. ':later', 'LT', obstacle.at, obstacle.bucket) end
end

-- Its result is in the cache, or on its way there: it takes a slot for a moment, and no limit.
local function takesNothing(call)
  if call.cacheId == '' then return false end
  return redis.call('EXISTS', tag .. ':cache:' .. call.cacheId, tag .. ':flight:' .. call.cacheId) > 0
end

-- The one of equal calls that runs; the others wait for its result.
local function fly(id, pool, key)
  if id == '' then return nil end
  redis.call('SET', tag .. ':flight:' .. id, pool .. ' ' .. key, 'PX', dayMs)
  return id
end

-- Charges a call that may start.
local function takeUp(about, call)
  if takesNothing(call) then return hold(about.p, call.key, {}, {}) end
  hold(about.p, call.key, about.l, call.costs, fly(call.cacheId, about.p, call.key))
end

-- What keeps the next call of a lane from starting; of several, one whose end nobody knows, else the latest. It goes
-- before those that wait for a bucket where it is its turn: `turns` is the SET of those, if there are any.
local function obstacleOf(about, call, turns)
  if takesNothing(call) then return nil end
  local behind
  local found
  for i, limit in ipairs(about.l) do
    local kind = limit.b:sub(1, 1)
    local met = obstacles[kind](limit, call.costs[i] or 1)
    if not met and (kind == 'r' or kind == 'c') and not (turns and turns[limit.b]) then
      if behind == nil then
        local start, clock = startTag(about)
        behind = start > clock
      end
      if behind and redis.call('EXISTS', ringKey(limit.b)) == 1 then met = {others = true} end
    end
    if met then
      met.bucket = limit.b
      if met.refuse then return met end
      if limit.f and not met.others then
        met.refuse = 'rate_limited'
        return met
      end
      if not found or (found.at and (not met.at or met.at > found.at)) then found = met end
    end
  end
  if found and found.at and found.at > call.deadline then found.refuse = 'rate_limited' end
  return found
end

-- Tells the worker to refuse the call: it goes to `wait`, and takes nothing.
local function refuse(pool, call, met)
  local said = {refused = met.refuse, bucket = met.bucket, left = met.left}
  if met.at then said.afterMs = math.ceil(met.at - now) end
  note(pool, call.key, cjson.encode(said))
end
