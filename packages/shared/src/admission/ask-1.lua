--[[
  Tells what limits leave at the moment. Changes nothing.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  JSON {limits: [limit], lanes: [lane]}, see lib/buckets.lua and lib/lanes.lua
  Returns JSON {now, waiting, limits: [{remaining, running, turnsAt, full, at}]}: what a kind does not have is absent
]]
local tag = KEYS[1]
-- @include lib/now.lua
-- @include lib/later.lua
-- @include lib/bullmq.lua
-- @include lib/buckets.lua
readClock()
local asked = cjson.decode(ARGV[1])

local answers = {
  r = function(limit)
    return {remaining = math.max(0, math.floor(limit.n - rateAhead(limit) / limit.i + 1e-6))}
  end,
  c = function(limit)
    local running = redis.call('ZCARD', bucketKey(limit.b))
    return {remaining = math.max(0, limit.n - running), running = running}
  end,
  q = function(limit)
    local used = tonumber(redis.call('GET', bucketKey(quotaId(limit))) or 0)
    return {remaining = math.max(0, limit.n - used), turnsAt = (math.floor(now / limit.w) + 1) * limit.w}
  end,
  x = function() return {} end,
}

local told = {}
for i, limit in ipairs(asked.limits) do
  local kind = limit.b:sub(1, 1)
  told[i] = answers[kind](limit)
  local met = obstacles[kind](limit, 1)
  if met then told[i].full, told[i].at = true, met.at end
end
local waiting = 0
for _, lane in ipairs(asked.lanes) do waiting = waiting + redis.call('LLEN', tag .. ':lane:' .. lane) end
return cjson.encode({now = math.floor(now), waiting = waiting, limits = told})
