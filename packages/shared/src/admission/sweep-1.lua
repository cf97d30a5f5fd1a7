--[[
  Keeps admission whole: takes or keeps the pump, counts the slots of every pool, gives back what dead workers held,
  and grants what may start. Its cost grows with live workers and running calls, not with waiting ones.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  the worker
  ARGV[2]  how long it has the pump, ms
  ARGV[3]  '1' to count slots although another worker has the pump, as one came or goes
  Returns what pump-1.lua returns
]]
local tag = KEYS[1]
-- @include lib/now.lua
-- @include lib/later.lua
-- @include lib/bullmq.lua
-- @include lib/buckets.lua
-- @include lib/lanes.lua
-- @include lib/serve.lua
readClock()
local worker, pumpMs = ARGV[1], ARGV[2]

local function takePump()
  local holder = redis.call('GET', tag .. ':pump')
  if holder and holder ~= worker then return false end
  redis.call('SET', tag .. ':pump', worker, 'PX', pumpMs)
  return true
end

-- Pools with a live worker, and those that still have calls out.
local function countSlots()
  local slots, names = {}, {}
  for _, pool in ipairs(redis.call('SMEMBERS', tag .. ':admission:pools')) do slots[pool] = 0 end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', tag .. ':workers', now, '+inf')) do
    local entry = cjson.decode(member)
    slots[entry.pool] = (slots[entry.pool] or 0) + entry.slots
  end
  for pool, count in pairs(slots) do
    names[#names + 1] = pool
    local key = tag .. ':pool:' .. pool
    redis.call('HSET', key, 'slots', count)
    redis.call('PEXPIRE', key, dayMs)
    if count > 0 then redis.call('SADD', tag .. ':admission:pools', pool)
    elseif redis.call('EXISTS', tag .. ':out:' .. pool) == 0 then redis.call('SREM', tag .. ':admission:pools', pool) end
  end
  redis.call('PEXPIRE', tag .. ':admission:pools', dayMs)
  return names
end

-- A call that holds something runs under a lock or stands in `wait`; else its worker is dead, or it is gone.
local function isHeldByNobody(pool, call)
  if redis.call('EXISTS', bull(pool, call) .. ':lock') == 1 then return false end
  if redis.call('EXISTS', bull(pool, call)) == 0 then return true end
  return not redis.call('LPOS', bull(pool, 'wait'), call)
end

local function reap(pool)
  for _, call in ipairs(redis.call('HKEYS', tag .. ':out:' .. pool)) do
    if isHeldByNobody(pool, call) then giveBack(pool, {{key = call, started = true}}) end
  end
  redis.call('PEXPIRE', tag .. ':out:' .. pool, dayMs)
end

local hasPump = takePump()
if not hasPump and ARGV[3] ~= '1' then return '' end
local names = countSlots()
for _, pool in ipairs(names) do reap(pool) end
if not hasPump then
  serve(names)
  return ''
end
grantAll(names)
local due = nextDue()
finish()
redis.call('SET', tag .. ':pump:plan', due or 'inf', 'PX', pumpMs)
return due and string.format('%.3f', due) or 'idle'
