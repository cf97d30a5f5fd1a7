--[[
  A dispatcher takes a run over, and reads what is known of it.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  dispatcher
  ARGV[3]  BullMQ's lock token of the job, which must still be ours; '' to end a run past its deadline that nobody drives
  ARGV[4]  the newest version of a record that the dispatcher understands
  Returns
    'held', fence, fields and values, messages of the conversation before it, 'submitted' | 'woken' | 'handed-over', or
      'taken-over' with when the last hold began, and when it last wrote, ms
    'stale'        another dispatcher has the job
    'gone'         there is no such run
    'ended'
    'early'        another run of its conversation is under way: it was taken up by a clock that is ahead
    'too-new', v
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/conversation.lua
local id, dispatcher = ARGV[1], ARGV[2]
local key = runKey(id)
if (redis.call('GET', tag .. ':runs:' .. id .. ':lock') or '') ~= ARGV[3] then return {'stale'} end
local v, ended, conversation, parked, cancelled, deadline =
  unpack(redis.call('HMGET', key, 'v', 'end', 'conversation', 'parkedAt', 'cancelledAt', 'deadlineAt'))
if not v then return {'gone'} end
if ended then return {'ended'} end
if tonumber(v) > tonumber(ARGV[4]) then return {'too-new', v} end
if ARGV[3] == '' and tonumber(deadline or 0) > timeMs() then return {'stale'} end

-- A run that is over before its turn has come is held only to be ended.
local function isEarly()
  if not conversation or cancelled or tonumber(deadline or 0) <= timeMs() then return false end
  local of = conversationKey(conversation)
  local active = activeIn(of)
  if not active then begin(of, id, math.max(1, redis.call('PTTL', key))) end
  return active and active ~= id
end
if isEarly() then return {'early'} end

local holder, heldAt, aliveAt = unpack(redis.call('HMGET', key, 'holder', 'heldAt', 'aliveAt'))
local fence = redis.call('HINCRBY', key, 'fence', 1)
local began = 'handed-over'
if fence == 1 then began = 'submitted' elseif holder then began = 'taken-over' elseif parked then began = 'woken' end
redis.call('HSET', key, 'holder', dispatcher, 'heldAt', timeMs(), 'aliveAt', timeMs())
redis.call('HSETNX', key, 'startedAt', timeMs())
if parked then redis.call('HDEL', key, 'parkedAt') end
redis.call('DEL', missingKey(id))
if not cancelled then emit(id, {'{"type":"state","state":"running"}'}) end
local before = {}
if conversation then before = redis.call('LRANGE', tag .. ':conversation:' .. conversation .. ':messages', 0, -1) end
return {
  'held', tostring(fence), redis.call('HGETALL', key), before, began,
  tonumber(heldAt or timeMs()), tonumber(aliveAt or timeMs()),
}
