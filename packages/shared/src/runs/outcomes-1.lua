--[[
  Records that the outcomes of a turn are gathered. They stay where they are, in the ledger, for as long as the run is
  kept; what only the dispatcher knew is written there.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  fence of the writer
  ARGV[3]  turn
  ARGV[4]  how long they are kept, ms
  ARGV[5…] three for each call: its key; where the ledger may not have its outcome that, as JSON, else ''; and, where
           there is one, the event that the call has ended, JSON, which is told if the outcome is written here
  Returns 'stale' | 'gone' | 'early' where the turn has no response | 'written' | 'standing' |
          'lost', key…  not written: the ledger has forgotten these
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/fence.lua
local id, turn, ttl = ARGV[1], ARGV[3], ARGV[4]
local refused = refusedBy(id, ARGV[2])
if refused then return {refused} end
if redis.call('HEXISTS', runKey(id), 'r:' .. turn) == 0 then return {'early'} end
if redis.call('HEXISTS', runKey(id), 'o:' .. turn) == 1 then return {'standing'} end

local keys, answer, events = {}, {'lost'}, {}
for i = 5, #ARGV, 3 do
  local key, text, event = unpack(ARGV, i, i + 2)
  if text ~= '' then
    if redis.call('SET', outcomeKey(key), text, 'NX', 'PX', ttl) then
      events[#events + 1] = event
    else
      redis.call('PEXPIRE', outcomeKey(key), ttl)
    end
  elseif redis.call('PEXPIRE', outcomeKey(key), ttl) == 0 then
    answer[#answer + 1] = key
  end
  keys[#keys + 1] = key
end
emit(id, events)
if #answer > 1 then return answer end
redis.call('HSET', runKey(id), 'o:' .. turn, table.concat(keys, ' '))
return {'written'}
