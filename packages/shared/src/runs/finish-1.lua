--[[
  Ends a run: the first end stands. Its messages go into the conversation, and the next run of that begins.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  fence of the writer
  ARGV[3]  the end, JSON
  ARGV[4]  1 where it is an end by cancelling, else 0
  ARGV[5]  how long the record is kept, ms
  ARGV[6]  how long the conversation is kept, ms
  ARGV[7]  the event of the end, JSON
  ARGV[8…] what the run adds to its conversation: a message each, JSON
  Returns 'stale' | 'gone' | 'standing', JSON | 'cancelled' where it is, and this is another end | 'written'
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/fence.lua
-- @include lib/conversation.lua
local id = ARGV[1]
local key = runKey(id)
local standing, conversation, waiters, cancelled, watchedUntil =
  unpack(redis.call('HMGET', key, 'end', 'conversation', 'waiters', 'cancelledAt', 'watchedUntil'))
local refused = refusedBy(id, ARGV[2])
if refused then return {refused} end
if standing then return {'standing', standing} end
if cancelled and ARGV[4] == '0' then return {'cancelled'} end

local function append(to)
  local bytes = 0
  for i = 8, #ARGV do
    redis.call('RPUSH', to .. ':messages', ARGV[i])
    bytes = bytes + #ARGV[i]
  end
  redis.call('HINCRBY', to, 'bytes', bytes)
end

redis.call('HSET', key, 'end', ARGV[3], 'endedAt', timeMs())
redis.call('HDEL', key, 'holder', 'waiters', 'parkedAt', 'untold', 'watchedUntil') -- nothing is told after the end
redis.call('DEL', missingKey(id))
redis.call('PEXPIRE', key, ARGV[5])
if conversation then
  local of = conversationKey(conversation)
  if redis.call('HGET', of, 'active') == id then
    append(of)
    beginNext(of)
  else
    redis.call('LREM', of .. ':runs', 1, id)
  end
  for _, part in ipairs({'', ':messages', ':runs'}) do redis.call('PEXPIRE', of .. part, ARGV[6]) end
end
if isWatched(watchedUntil) then
  writeEvents(id, {ARGV[7]})
  redis.call('HSET', key, 'endTold', 1)
end
for waiter in (waiters or ''):gmatch('%S+') do tellDispatcher(waiter, id, 'ended') end
return {'written'}
