--[[
  Removes the queue of a pool that nobody has served for long: dead letters, what callers left behind, and BullMQ's own
  keys. No more than a thousand jobs at once; the pool is known until none is left.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  for how long nobody has served it, ms
]]
local tag = KEYS[1]
local time = redis.call('TIME')
local since = time[1] * 1000 - tonumber(ARGV[1])
local pool = redis.call('ZRANGE', tag .. ':pools', '-inf', '(' .. since, 'BYSCORE', 'LIMIT', 0, 1)[1]
if not pool then return end

local queue = tag .. ':calls-' .. pool .. ':'
local most = 1000

local function forgetJobs(ids, step)
  for i = 1, #ids, step do
    local job = queue .. ids[i]
    redis.call('UNLINK', job, job .. ':lock', job .. ':logs')
    most = most - 1
  end
end

-- A list or a set that has given its last is gone.
for _, state in ipairs({'wait', 'paused', 'active'}) do
  if most > 0 then forgetJobs(redis.call('LPOP', queue .. state, most) or {}, 1) end
end
for _, state in ipairs({'delayed', 'prioritized', 'failed', 'completed'}) do
  if most > 0 then forgetJobs(redis.call('ZPOPMIN', queue .. state, most), 2) end
end
if most <= 0 then return end

for _, part in ipairs({'meta', 'events', 'id', 'marker', 'pc', 'stalled', 'stalled-check', 'limiter'}) do
  redis.call('UNLINK', queue .. part)
end
redis.call('ZREM', tag .. ':pools', pool)
