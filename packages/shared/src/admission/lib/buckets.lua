--[[
  Buckets, by the kind their id begins with. A limit is {b = bucket, n = how many, i | w = its time, f = refuses}.

    r  rate         HASH tat, since: the generic cell rate algorithm (ITU-T I.371); n is the burst, i ms for each
    c  concurrency  ZSET of the calls that hold it, n at most
    q  quota        counter of one window of w ms, n at most; refuses instead of waiting
    x  upstream     `<until ms> <call>` while the service behind a tool asked for patience, and after it until one call,
                    which tries alone, has come through without being asked again

  Lanes whose next call waits for a bucket stand in its ring (`:lanes`); `later` says when the first of them may go.
  Needs `tag`, `now`, later.lua.
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
local tats, blocks = {}, {}

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

local function tatOf(bucket)
  tats[bucket] = tats[bucket] or tonumber(redis.call('HGET', bucketKey(bucket), 'tat') or 0)
  return tats[bucket]
end

-- What stands in the way of a call: `at`, ms, where that is known; `refuse`, a code, where it is not to wait.
local obstacles = {
  r = function(limit, cost)
    local at = math.max(tatOf(limit.b), now) + (cost - limit.n) * limit.i
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

-- Each takes what a start costs and answers `bucket=amount`, which is what the call then holds.
local charges = {
  r = function(limit, cost)
    local key, tat, amount = bucketKey(limit.b), tatOf(limit.b), cost * limit.i
    tats[limit.b] = math.max(tat, now) + amount
    if tat > now then
      redis.call('HSET', key, 'tat', tats[limit.b])
    else
      redis.call('HSET', key, 'tat', tats[limit.b], 'since', string.format('%.3f', now))
    end
    expireIn(key, math.ceil(tats[limit.b] - now) + 1000)
    return limit.b .. '=' .. string.format('%.17g', amount)
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

-- Has the first lane of a bucket's ring looked at.
local function touch(bucket)
  if redis.call('EXISTS', ringKey(bucket)) == 1 then redis.call('ZADD', tag .. ':later', 0, bucket) end
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
  r = function(bucket, amount, hold)
    if hold.started then return end
    -- A bucket that has been idle since has forgotten the charge.
    local since = tonumber(redis.call('HGET', bucketKey(bucket), 'since') or 'inf')
    if since > hold.at then return end
    redis.call('HINCRBYFLOAT', bucketKey(bucket), 'tat', -amount)
    tats[bucket] = nil
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

-- Gives back all that a call holds; nothing when it holds nothing. What is tried `again` keeps its flight.
local function giveBack(pool, call, started, again)
  local held = redis.call('HGET', tag .. ':out:' .. pool, call)
  if not held then return end
  redis.call('HDEL', tag .. ':out:' .. pool, call)
  if pools[pool] then pools[pool].out = pools[pool].out - 1 end
  local taken = {pool = pool, call = call, started = started, again = again, at = tonumber(held:match('^%S+'))}
  for bucket, amount in held:gmatch('(%S+)=(%S+)') do
    refunds[bucket:sub(1, 1)](bucket, tonumber(amount), taken)
  end
end
