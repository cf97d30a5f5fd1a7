--[[
  Takes a run in. Its job was added just before, in the same transaction: where the run is not taken in, or has ended,
  the job is taken back.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  how long the record is kept, ms
  ARGV[3]  its conversation as it stands in keys, or ''
  ARGV[4]  'wait' or 'refuse' where another run of the conversation is under way
  ARGV[5]  bytes the conversation may hold
  ARGV[6]  bytes of this run's messages
  ARGV[7]  the deadline, ms
  ARGV[8]  where the run of the client's key is found, or ''
  ARGV[9…] fields of the record and their values; the hash of what was asked is `body`
  Returns
    'created'
    'known', id, hash, trace context or ''
                        the run of that key, or this one, as a reconnect may send it again
    'busy', id          another run of the conversation is under way
    'full', bytes       the conversation holds too much already
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/conversation.lua
local id, ttl, conversation, onBusy = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local maxBytes, bytes, deadline, ofKey = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]

local function takeJobBack()
  if redis.call('LREM', tag .. ':runs:wait', 1, id) == 1 then redis.call('DEL', tag .. ':runs:' .. id) end
end

if redis.call('EXISTS', tag .. ':runs:' .. id) == 0 then return redis.error_reply('the job of the run was not added') end

local standing = ofKey ~= '' and redis.call('GET', ofKey) or id
local known = redis.call('HMGET', runKey(standing), 'body', 'end', 'carrier')
if known[1] then
  if known[2] or standing ~= id then takeJobBack() end
  return {'known', standing, known[1], known[3] or ''}
end

local waits = false
if conversation ~= '' then
  local key = conversationKey(conversation)
  local holds = tonumber(redis.call('HGET', key, 'bytes') or 0)
  if holds + bytes > maxBytes then
    takeJobBack()
    return {'full', holds}
  end
  local active = activeIn(key)
  waits = active and true
  if waits and onBusy == 'refuse' then
    takeJobBack()
    return {'busy', active}
  end
  if waits then
    redis.call('RPUSH', key .. ':runs', id)
    redis.call('PEXPIRE', key .. ':runs', ttl)
  else
    begin(key, id, ttl)
  end
end

redis.call('HSET', runKey(id), 'createdAt', timeMs(), unpack(ARGV, 9))
redis.call('PEXPIRE', runKey(id), ttl)
if ofKey ~= '' then redis.call('SET', ofKey, id, 'PX', ttl) end
if waits then putAway(id, deadline) end
return {'created'}
