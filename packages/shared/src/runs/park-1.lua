--[[
  Puts a run away that waits for its calls: the settling of the last missing one brings it back. Its job is in
  `delayed`, due soon, so a dispatcher that dies before this has parked nothing.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  fence of the writer
  ARGV[3]  when it is looked at in any case, ms
  ARGV[4…] keys of the calls it waits for
  Returns 'parked', or 'woken' where nothing is missing any more or the run is cancelled, or 'stale' | 'gone'
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/fence.lua
local id = ARGV[1]
local refused = refusedBy(id, ARGV[2])
if refused then return refused end
redis.call('HDEL', runKey(id), 'holder')
redis.call('HSET', runKey(id), 'begins', 'woken')
local missing = {}
for i = 4, #ARGV do
  if redis.call('EXISTS', outcomeKey(ARGV[i])) == 0 then missing[#missing + 1] = ARGV[i] end
end
if #missing == 0 or redis.call('HEXISTS', runKey(id), 'cancelledAt') == 1 then
  wakeRun(id)
  return 'woken'
end
redis.call('SADD', missingKey(id), unpack(missing))
redis.call('PEXPIRE', missingKey(id), math.max(1, redis.call('PTTL', runKey(id))))
redis.call('HSET', runKey(id), 'parkedAt', timeMs())
putAway(id, tonumber(ARGV[3]))
emit(id, {'{"type":"state","state":"waiting"}'})
return 'parked'
