--[[
  Writes events of a run, if somebody reads them.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  fence of the writer, or '-' for one that holds no run
  ARGV[3…] events, JSON
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/fence.lua
if ARGV[2] == '-' or not refusedBy(ARGV[1], ARGV[2]) then emit(ARGV[1], {unpack(ARGV, 3)}) end
