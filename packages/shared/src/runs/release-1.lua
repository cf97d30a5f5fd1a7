--[[
  A dispatcher lets a run go, whose job it gives back next.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  fence of the writer
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/fence.lua
if refusedBy(ARGV[1], ARGV[2]) then return end
redis.call('HDEL', runKey(ARGV[1]), 'holder')
emit(ARGV[1], {'{"type":"state","state":"queued"}'})
