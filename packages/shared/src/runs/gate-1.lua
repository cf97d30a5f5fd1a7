--[[
  Decides whether calls of durable runs may be enqueued, in the transaction that adds their jobs, before it does. BullMQ
  takes a job that is there for a duplicate and adds nothing: a call that may not be enqueued gets a stand-in, which
  ungate-1.lua takes away again.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  pool
  ARGV[2]  JSON array of [run id, fence, array of `turn.index`]
  Returns for each run '' | 'stale' | 'gone' | 'cancelled'
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
local pool = ARGV[1]

local function refuse(id, calls, why)
  for _, place in ipairs(calls) do
    local key = id .. '.' .. place
    local job = tag .. ':calls-' .. pool .. ':' .. key
    if redis.call('EXISTS', job) == 0 then redis.call('HSET', job, 'refused', why) end
    redis.call('SADD', tag .. ':refused', key)
  end
  return why
end

local function admitRun(id, fence, calls)
  local standing, cancelled, ended = unpack(redis.call('HMGET', runKey(id), 'fence', 'cancelledAt', 'end'))
  if not standing then return refuse(id, calls, 'gone') end
  if standing ~= fence or ended then return refuse(id, calls, 'stale') end
  if cancelled then return refuse(id, calls, 'cancelled') end
  local fields = {}
  for _, place in ipairs(calls) do
    fields[#fields + 1] = 'c:' .. place
    fields[#fields + 1] = pool
  end
  redis.call('HSET', runKey(id), unpack(fields))
  return ''
end

local answers = {}
for i, run in ipairs(cjson.decode(ARGV[2])) do answers[i] = admitRun(run[1], run[2], run[3]) end
return answers
