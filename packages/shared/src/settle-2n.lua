--[[
  Writes outcomes into the ledger, once each, tells whoever waits for them, gives back what the calls held, and lets
  the next ones start: they are in `wait` before BullMQ's own script finishes the job and fetches another.

  KEYS, two for each outcome i = 1..n
    KEYS[2i-1]  outcome of the call
    KEYS[2i]    BullMQ's lock of the job
  ARGV
    ARGV[1]     the hash tag of the installation, from which the keys of admission are made
  ARGV, six for each outcome
    ARGV[6i-4]  the lock token that must still be ours, or '' for a writer without a job (the gatherer)
    ARGV[6i-3]  how long the outcome is kept, ms
    ARGV[6i-2]  the outcome, JSON
    ARGV[6i-1]  channel of the notice, or ''
    ARGV[6i]    the notice: '' for the outcome itself, else its key as JSON
    ARGV[6i+1]  `<pool> <key> <did the handler start: 0 | 1>` of a call that was admitted, else ''
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

for i = 1, #KEYS / 2 do
  local outcomeKey, lockKey = KEYS[2 * i - 1], KEYS[2 * i]
  local token, ttl, outcome = ARGV[6 * i - 4], ARGV[6 * i - 3], ARGV[6 * i - 2]
  local channel, notice, admitted = ARGV[6 * i - 1], ARGV[6 * i], ARGV[6 * i + 1]

  if token ~= '' and redis.call('GET', lockKey) ~= token then
    answers[i] = redis.call('GET', outcomeKey) or 'stale'
  else
    local standing = redis.call('SET', outcomeKey, outcome, 'NX', 'GET', 'PX', ttl)
    answers[i] = standing or ''
    if not standing and channel ~= '' then
      if not notices[channel] then
        channels[#channels + 1] = channel
        notices[channel] = {}
      end
      table.insert(notices[channel], notice == '' and outcome or notice)
    end
    if admitted ~= '' then leave(admitted) end
  end
end

for _, channel in ipairs(channels) do
  redis.call('PUBLISH', channel, '[' .. table.concat(notices[channel], ',') .. ']')
end
for _, pool in ipairs(left) do giveBack(pool, ended[pool]) end
if #left > 0 then serve(left) end

return answers
