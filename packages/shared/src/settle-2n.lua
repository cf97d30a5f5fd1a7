--[[
  Writes outcomes into the ledger, once each, tells whoever waits for them, gives back what the calls held, and lets
  the next ones start: they are in `wait` before BullMQ's own script finishes the job and fetches another.

  KEYS, two for each outcome i = 1..n
    KEYS[2i-1]  outcome of the call
    KEYS[2i]    BullMQ's lock of the job
  ARGV
    ARGV[1]     the hash tag of the installation, from which the keys of admission are made
  ARGV, eight for each outcome
    ARGV[8i-6]  the lock token that must still be ours, or '' for a writer without a job (the gatherer)
    ARGV[8i-5]  how long the outcome is kept, ms
    ARGV[8i-4]  the outcome, JSON
    ARGV[8i-3]  channel of the notice, or ''; for a call of a durable run that of whoever holds the run
    ARGV[8i-2]  the notice: '' for the outcome itself, else its key as JSON
    ARGV[8i-1]  `<pool> <key> <did the handler start: 0 | 1>` of a call that was admitted, else ''
    ARGV[8i]    `<run id> <fence that must still stand, or ->` of a call of a durable run, else ''
    ARGV[8i+1]  the event that the call has ended, JSON, or ''
  Returns one entry for each outcome
    ''          written
    'stale'     not written: the job is no longer ours
    JSON        not written: the outcome that stands already
]]
local tag = ARGV[1]
-- @include admission/lib/now.lua
-- @include admission/lib/later.lua
-- @include admission/lib/bullmq.lua
-- @include admission/lib/buckets.lua
-- @include admission/lib/lanes.lua
-- @include admission/lib/serve.lua
-- @include runs/lib/run.lua
local answers, channels, notices, left, ended = {}, {}, {}, {}, {}

-- By pool, the calls that end.
local function leave(admitted)
  local pool, key, started = admitted:match('^(%S+) (%S+) (%d)$')
  if not ended[pool] then
    ended[pool] = {}
    left[#left + 1] = pool
  end
  table.insert(ended[pool], {key = key, started = started == '1'})
end

local function notify(channel, notice)
  if channel == '' then return end
  if not notices[channel] then
    channels[#channels + 1] = channel
    notices[channel] = {}
  end
  table.insert(notices[channel], notice)
end

-- The run a call belongs to, as far as settling has to do with it; nil for a call of no durable run.
local function readRun(given)
  local id, fence = given:match('^(%S+) (%S+)$')
  if not id then return nil end
  local standing, holder, watchedUntil = unpack(redis.call('HMGET', runKey(id), 'fence', 'holder', 'watchedUntil'))
  local isStale = fence ~= '-' and fence ~= standing
  return {id = id, isStale = isStale, holder = holder, isWatched = isWatched(watchedUntil)}
end

-- Tells whoever holds the run, or brings it back where it was parked and this was the last that it waited for.
local function tellRun(run, key, notice, event)
  if run.isWatched and event ~= '' then writeEvents(run.id, {event}) end
  if run.holder then return notify(tag .. ':notice:' .. run.holder, notice) end
  local missing = missingKey(run.id)
  if redis.call('SREM', missing, key) == 1 and redis.call('EXISTS', missing) == 0 then wakeRun(run.id) end
end

local function settle(i)
  local key, lockKey = KEYS[2 * i - 1], KEYS[2 * i]
  local token, ttl, outcome, channel, notice, admitted, ofRun, event = unpack(ARGV, 8 * i - 6, 8 * i + 1)
  local run = readRun(ofRun)
  local isLost = token ~= '' and redis.call('GET', lockKey) ~= token
  if isLost or (run and run.isStale) then return redis.call('GET', key) or 'stale' end
  local standing = redis.call('SET', key, outcome, 'NX', 'GET', 'PX', ttl)
  if not standing then
    local told = notice == '' and outcome or notice
    if run then tellRun(run, key:sub(#outcomeKey('') + 1), told, event) else notify(channel, told) end
  end
  if admitted ~= '' then leave(admitted) end
  return standing or ''
end

for i = 1, #KEYS / 2 do answers[i] = settle(i) end
for _, channel in ipairs(channels) do
  redis.call('PUBLISH', channel, '[' .. table.concat(notices[channel], ',') .. ']')
end
for _, pool in ipairs(left) do giveBack(pool, ended[pool]) end
if #left > 0 then serve(left) end

return answers
