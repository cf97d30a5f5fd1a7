--[[
  A conversation and its runs: one is under way, the others wait in the order in which they came.
    conversation:<id>       HASH, `active` is the run that is under way
    conversation:<id>:runs  LIST of those that wait
  Needs `tag`, run.lua.
]]
local function conversationKey(id)
  return tag .. ':conversation:' .. id
end

-- False where it has ended, and where its record is no more.
local function isUnderWay(run)
  local about = redis.call('HMGET', runKey(run), 'body', 'end')
  return about[1] and not about[2]
end

-- Where nobody waits, nobody is under way.
local function beginNext(of)
  local following
  repeat following = redis.call('LPOP', of .. ':runs') until not following or isUnderWay(following)
  if not following then return redis.call('HDEL', of, 'active') end
  redis.call('HSET', of, 'active', following)
  wakeRun(following)
end

local function begin(of, run, ttl)
  redis.call('HSET', of, 'active', run)
  redis.call('PEXPIRE', of, ttl, 'GT')
  redis.call('PEXPIRE', of, ttl, 'NX')
end

-- The run that is under way, if any. Should its record have expired, or Redis have lost it, the next one is.
local function activeIn(of)
  local active = redis.call('HGET', of, 'active')
  if active and isUnderWay(active) then return active end
  beginNext(of)
  return redis.call('HGET', of, 'active')
end
