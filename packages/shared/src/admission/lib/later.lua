--[[
  What a script reads once and writes once, however many calls it grants: `finish` at its end writes it.
  Needs `tag`.
]]
local dayMs = 86400000
local pools, expiries, wakes = {}, {}, {}

-- The slots of a pool, how many calls are out, its virtual clock per class, and whose turn it is.
local function poolOf(name)
  local pool = pools[name]
  if pool then return pool end
  local key = tag .. ':pool:' .. name
  local stored = redis.call('HMGET', key, 'slots', 'clock:i', 'clock:b', 'turn')
  pool = {
    slots = tonumber(stored[1] or 0),
    clock = {i = tonumber(stored[2] or 0), b = tonumber(stored[3] or 0)},
    turn = tonumber(stored[4] or 0),
    out = redis.call('HLEN', tag .. ':out:' .. name),
    moved = {},
  }
  pools[name] = pool
  return pool
end

local function expireIn(key, ms)
  expiries[key] = ms
end

local function saveClock(name, pool, class)
  redis.call('HSET', tag .. ':pool:' .. name, 'clock:' .. class, pool.clock[class], 'turn', pool.turn)
  local tags = tag .. ':tags:' .. name .. ':' .. class
  redis.call('ZREMRANGEBYSCORE', tags, '-inf', pool.clock[class])
  redis.call('PEXPIRE', tags, dayMs)
end

local function finish()
  for name, pool in pairs(pools) do
    for class in pairs(pool.moved) do saveClock(name, pool, class) end
  end
  for key, ms in pairs(expiries) do redis.call('PEXPIRE', key, ms) end
  for name in pairs(wakes) do
    local queue = tag .. ':calls-' .. name
    if redis.call('HEXISTS', queue .. ':meta', 'paused') == 0 then redis.call('ZADD', queue .. ':marker', 0, '0') end
  end
end
