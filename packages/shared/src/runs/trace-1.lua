--[[
  The first hold of a run that is traced, where the submit was not: what all that follows hangs on. Written before
  anything of it is told, so a dispatcher that dies before this has begun no trace.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  fence of the writer
  ARGV[3]  trace context, as it travels
  ARGV[4]  trace id
  Returns 'written', or 'stale' | 'gone'
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/fence.lua
local refused = refusedBy(ARGV[1], ARGV[2])
if refused then return refused end
redis.call('HSET', runKey(ARGV[1]), 'carrier', ARGV[3], 'traceId', ARGV[4])
return 'written'
