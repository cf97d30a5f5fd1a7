--[[
  A dispatcher lets a run go, whose job it gives back next.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  fence of the writer
  ARGV[3]  why the next hold begins: 'handed-over' | 'fault'
  Returns 'stale' | 'gone' | 'released'
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/fence.lua
local refused = refusedBy(ARGV[1], ARGV[2])
if refused then return refused end
redis.call('HDEL', runKey(ARGV[1]), 'holder')
redis.call('HSET', runKey(ARGV[1]), 'begins', ARGV[3])
emit(ARGV[1], {'{"type":"state","state":"queued"}'})
return 'released'
