--[[
  Writes outcomes into the ledger, once each, and tells whoever waits for them.

  KEYS, two for each outcome i = 1..n
    KEYS[2i-1]  outcome of the call
    KEYS[2i]    BullMQ's lock of the job
  ARGV, five for each outcome
    ARGV[5i-4]  the lock token that must still be ours, or '' for a writer without a job (the gatherer)
    ARGV[5i-3]  how long the outcome is kept, ms
    ARGV[5i-2]  the outcome, JSON
    ARGV[5i-1]  channel of the notice, or ''
    ARGV[5i]    the notice: '' for the outcome itself, else its key as JSON
  Returns one entry for each outcome
    ''          written
    'stale'     not written: the job is no longer ours
    JSON        not written: the outcome that stands already
]]
local answers, channels, notices = {}, {}, {}

for i = 1, #KEYS / 2 do
  local outcomeKey, lockKey = KEYS[2 * i - 1], KEYS[2 * i]
  local token, ttl, outcome = ARGV[5 * i - 4], ARGV[5 * i - 3], ARGV[5 * i - 2]
  local channel, notice = ARGV[5 * i - 1], ARGV[5 * i]

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
  end
end

for _, channel in ipairs(channels) do
  redis.call('PUBLISH', channel, '[' .. table.concat(notices[channel], ',') .. ']')
end

return answers
