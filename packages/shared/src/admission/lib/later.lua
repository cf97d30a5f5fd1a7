--[[
  What a script reads once and writes once, however many calls it grants: `finish` at its end writes it.
  Needs `tag`.
]]
local dayMs = 86400000

-- By pool: slots, calls out, virtual clock per class, whose turn it is, and what is to be written of it.
local pools = {}
local expiries = {}

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
  for key, ms in pairs(expiries) do redis.call('PEXPIRE', key, ms) end
end
