--[[
  Buckets, by the kind their id begins with. A limit is {b = bucket, n = how many, i | w = its time, f = refuses}.

    r  rate         HASH tat, since, back: the generic cell rate algorithm (ITU-T I.371); n is the burst, i ms for each;
                    since when it has not been idle, and what calls that did not start have given back since then
    c  concurrency  ZSET of the calls that hold it, n at most
    q  quota        counter of one window of w ms, n at most; refuses instead of waiting
    x  upstream     `<until ms> <call>` while the service behind a tool asked for patience, and after it until one call,
                    which tries alone, has come through without being asked again

  Lanes whose next call waits for a bucket stand in its ring (`:lanes`); `later` says when the first of them may go, and
  `rings` is the SET of buckets whose ring holds lanes.
  Needs `tag`, `now`, later.lua, bullmq.lua.
]]
local function bucketKey(id)
  return tag .. ':bucket:' .. id
end

local function ringKey(id)
  return tag .. ':bucket:' .. id .. ':lanes'
end

local function quotaId(limit)
  return limit.b .. ':' .. string.format('%.0f', math.floor(now / limit.w))
end

-- What this script has read of rates and blocks.
local meters, blocks = {}, {}

local function blockOf(bucket)
  if blocks[bucket] == nil then
    local untilMs, tries = (redis.call('GET', bucketKey(bucket)) or ''):match('^(%S+) ?(%S*)$')
    blocks[bucket] = untilMs and {untilMs = tonumber(untilMs), tries = tries} or false
  end
  return blocks[bucket]
end

local function setBlock(bucket, untilMs, call)
  blocks[bucket] = nil
  redis.call('SET', bucketKey(bucket), string.format('%.0f %s', untilMs, call), 'XX', 'KEEPTTL')
end

local function meterOf(bucket)
  if meters[bucket] then return meters[bucket] end
  local stored = redis.call('HMGET', bucketKey(bucket), 'tat', 'since', 'back')
  local meter = {tat = tonumber(stored[1] or 0), since = tonumber(stored[2] or 'inf'), back = tonumber(stored[3] or 0)}
  meters[bucket] = meter
  return meter
end

-- What a rate is ahead of the clock, ms, and when it has room for this much.
local function rateAhead(limit)
  return math.max(0, meterOf(limit.b).tat - now)
end

local function rateAt(limit, cost)
  return now + rateAhead(limit) + (cost - limit.n) * limit.i
end

-- What stands in the way of a call: `at`, ms, where that is known; `refuse`, a code, where it is not to wait.
local obstacles = {
  r = function(limit, cost)
    local at = rateAt(limit, cost)
    if cost > limit.n then return {at = at, refuse = 'rate_limited'} end
    if at > now then return {at = at} end
  end,
  c = function(limit)
    if redis.call('ZCARD', bucketKey(limit.b)) >= limit.n then return {} end
  end,
  q = function(limit, cost)
    local used = tonumber(redis.call('GET', bucketKey(quotaId(limit))) or 0)
    if used + cost <= limit.n then return nil end
    local turnsAt = (math.floor(now / limit.w) + 1) * limit.w
    return {at = turnsAt, left = limit.n - used, refuse = 'quota_exceeded'}
  end,
  x = function(limit)
    local block = blockOf(limit.b)
    if block and block.untilMs > now then return {at = block.untilMs} end
    if block and block.tries ~= '' then return {} end
  end,
}

-- Each takes what a start costs and answers `bucket=amount`, which is what the call then holds; of a rate also where its
-- clock would stand without what has been given back, as `bucket=amount@mark`.
local charges = {
  r = function(limit, cost)
    local key, meter, amount = bucketKey(limit.b), meterOf(limit.b), cost * limit.i
    if meter.tat > now then
      meter.tat = meter.tat + amount
      redis.call('HSET', key, 'tat', meter.tat)
    else
      meter.tat, meter.since, meter.back = now + amount, now, 0
      redis.call('HSET', key, 'tat', meter.tat, 'since', string.format('%.3f', now), 'back', 0)
    end
    expireIn(key, math.ceil(meter.tat - now) + 1000)
    return string.format('%s=%.17g@%.17g', limit.b, amount, meter.tat + meter.back)
  end,
  c = function(limit, _, call)
    redis.call('ZADD', bucketKey(limit.b), now, call)
    expireIn(bucketKey(limit.b), dayMs)
    return limit.b .. '=1'
  end,
  q = function(limit, cost)
    local id = quotaId(limit)
    redis.call('INCRBY', bucketKey(id), cost)
    expireIn(bucketKey(id), limit.w)
    return id .. '=' .. string.format('%.0f', cost)
  end,
  x = function(limit, _, call)
    local block = blockOf(limit.b)
    if not block then return nil end
    setBlock(limit.b, block.untilMs, call)
    return limit.b .. '=1'
  end,
}

-- Has the first lane of a bucket's ring looked at. False where no lane stands there.
local function touch(bucket)
  if redis.call('EXISTS', ringKey(bucket)) == 0 then return false end
  redis.call('ZADD', tag .. ':later', 0, bucket)
  return true
end

-- The end of a flight, the one execution that equal calls wait for: all of them find the result in the cache, or the
-- first of them flies next.
local function land(id, flown)
  local followers = tag .. ':flight:' .. id .. ':followers'
  if redis.call('GET', tag .. ':flight:' .. id) ~= flown then return end
  redis.call('DEL', tag .. ':flight:' .. id)
  local count = redis.call('EXISTS', tag .. ':cache:' .. id) == 1 and 1000 or 1
  while count > 0 do
    local follower = redis.call('LPOP', followers)
    if not follower then return end
    if promote(follower:match('^(%S+) (%S+)$')) then count = count - 1 end
  end
end

-- Each gives back what a call held. What a start costs is gone unless the call did not start.
local refunds = {
  r = function(bucket, amount, hold, mark)
    if hold.started then return end
    -- A bucket that has been idle since has forgotten the charge. One that would have been idle without it gives no
    -- credit for that time; whether it would have been is known for sure only up to where its clock stood.
    local meter = meterOf(bucket)
    if meter.since > hold.at then return end
    readClock()
    local stood = mark - meter.back
    if meter.tat > stood then amount = math.min(amount, math.max(0, stood - now)) end
    meter.tat, meter.back = meter.tat - amount, meter.back + amount
    redis.call('HSET', bucketKey(bucket), 'tat', meter.tat, 'back', meter.back)
    touch(bucket)
  end,
  c = function(bucket, _, hold)
    redis.call('ZREM', bucketKey(bucket), hold.call)
    touch(bucket)
  end,
  x = function(bucket, _, hold)
    readClock()
    local block = blockOf(bucket)
    if not block or block.tries ~= hold.call then return end
    blocks[bucket] = nil
    if hold.started and block.untilMs <= now then redis.call('DEL', bucketKey(bucket))
    else setBlock(bucket, block.untilMs, '') end
    touch(bucket)
  end,
  f = function(flight, _, hold)
    if not hold.again then land(flight:sub(3), hold.pool .. ' ' .. hold.call) end
  end,
  q = function(id, amount, hold)
    if not hold.started and redis.call('EXISTS', bucketKey(id)) == 1 then
      redis.call('DECRBY', bucketKey(id), amount)
    end
  end,
}

-- Charges every limit and writes down what the call holds: `<granted at> <bucket>=<amount> …`.
local function hold(pool, call, limits, costs, flight)
  local held = {string.format('%.3f', now)}
  for i, limit in ipairs(limits) do
    held[#held + 1] = charges[limit.b:sub(1, 1)](limit, costs[i] or 1, call)
  end
  held[#held + 1] = flight and 'f:' .. flight .. '=1'
  local known = poolOf(pool)
  known.out = known.out + 1
  known.held[#known.held + 1] = call
  known.held[#known.held + 1] = table.concat(held, ' ')
end

local function refundAll(pool, call, held)
  local taken = {pool = pool, call = call.key, started = call.started, again = call.again, at = tonumber(held:match('^%S+'))}
  for bucket, amount, mark in held:gmatch('(%S+)=([^@%s]+)@?(%S*)') do
    refunds[bucket:sub(1, 1)](bucket, tonumber(amount), taken, tonumber(mark))
  end
end

-- Gives back all that calls hold, and answers what each held, as `hold` wrote it, or false. One that holds nothing may
-- have waited to its deadline. What is tried `again` keeps its flight. A call is {key, started, again}.
local function giveBack(pool, calls)
  local out, keys, gone = tag .. ':out:' .. pool, {}, {}
  for i, call in ipairs(calls) do keys[i] = call.key end
  local held = redis.call('HMGET', out, unpack(keys))
  for i, call in ipairs(calls) do
    if held[i] then
      gone[#gone + 1] = call.key
      refundAll(pool, call, held[i])
    else
      endWaiting(pool, 'i', call.key)
      endWaiting(pool, 'b', call.key)
    end
  end
  if #gone == 0 then return held end
  redis.call('HDEL', out, unpack(gone))
  if pools[pool] then pools[pool].out = pools[pool].out - #gone end
  return held
end
