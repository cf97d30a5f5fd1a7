--[[
  What BullMQ 6.7 keeps of a job, moved as its own promote-9.lua and moveToDelayed-11.lua move a job without priority.
  In one script with the decision, no crash can come between. test/redis/bullmq-moves.test.ts holds them side by side.
  Needs `tag`, `now`, later.lua.
]]
local function bull(pool, part)
  return tag .. ':calls-' .. pool .. ':' .. part
end

-- Tells the worker that picks the job up what admission said: kept in front of what the job's progress holds already.
local function note(pool, key, said)
  local job = bull(pool, key)
  local progress = redis.call('HGET', job, 'progress')
  local rest = '}'
  if progress then
    rest = progress:gsub('^{"admission":%b{},?', '{', 1):sub(2)
    if rest ~= '}' then rest = ',' .. rest end
  end
  redis.call('HSET', job, 'delay', 0, 'progress', '{"admission":' .. said .. rest)
end

-- From `delayed` to the tail of `wait`, in `finish`. False when the job is not delayed: withdrawn, or picked up.
local function promote(pool, key)
  if redis.call('ZREM', bull(pool, 'delayed'), key) == 0 then return false end
  table.insert(poolOf(pool).promoted, key)
  return true
end

-- Into `delayed`, due at `dueAt`, from the head of `wait`, where a job just added stands, or within `delayed`.
local function park(pool, key, dueAt)
  local waits = redis.call('LREM', bull(pool, 'wait'), 1, key) == 1
  if not waits and not redis.call('ZSCORE', bull(pool, 'delayed'), key) then return end
  redis.call('ZADD', bull(pool, 'delayed'), dueAt * 4096, key)
  redis.call('HSET', bull(pool, key), 'delay', math.ceil(dueAt - now))
end
