--[[
  A dispatcher takes a run over, and reads what is known of it.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  dispatcher
  ARGV[3]  BullMQ's lock token of the job, which must still be ours; '' to end a run past its deadline that nobody drives
  ARGV[4]  the newest version of a record that the dispatcher understands
  Returns
    'held', fence, fields and values, messages of the conversation before it, 'submitted' | 'woken' | 'handed-over' |
      'fault' | 'taken-over', and holds to tell of, JSON array of [fence, when it began, when it last said that it lived]
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
local maxUntold = 20
-- A hold that lived this long has told of those before it: spans leave a process every second.
local toldWithinMs = 2000

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

local holder, heldAt, aliveAt, untold, begins =
  unpack(redis.call('HMGET', key, 'holder', 'heldAt', 'aliveAt', 'untold', 'begins'))
local fence = redis.call('HINCRBY', key, 'fence', 1)

local function why()
  if fence == 1 then return 'submitted' end
  if holder then return 'taken-over' end
  return begins or (parked and 'woken') or 'handed-over'
end
local began = why()

-- The holds that ended without a word, the latest last. Whoever takes over tells of them all: the one before it may have
-- been killed before what it told had left.
local function untoldHolds()
  if began ~= 'taken-over' then return {} end
  local from, till = tonumber(heldAt or timeMs()), tonumber(aliveAt or timeMs())
  local holds = untold and till - from < toldWithinMs and cjson.decode(untold) or {}
  if #holds == maxUntold then table.remove(holds, 1) end
  holds[#holds + 1] = {fence - 1, from, till}
  return holds
end
local holds = untoldHolds()

redis.call('HDEL', key, 'parkedAt', 'begins', 'untold')
redis.call('HSET', key, 'holder', dispatcher, 'heldAt', timeMs(), 'aliveAt', timeMs())
redis.call('HSETNX', key, 'startedAt', timeMs())
if #holds > 0 then redis.call('HSET', key, 'untold', cjson.encode(holds)) end
redis.call('DEL', missingKey(id))
if not cancelled then emit(id, {'{"type":"state","state":"running"}'}) end
local before = {}
if conversation then before = redis.call('LRANGE', tag .. ':conversation:' .. conversation .. ':messages', 0, -1) end
return {'held', tostring(fence), redis.call('HGETALL', key), before, began, #holds > 0 and cjson.encode(holds) or '[]'}
