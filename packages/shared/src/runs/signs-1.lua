--[[
  A dispatcher looks at runs: what concerns whoever holds them may have been told to nobody. That of those it holds is
  also a sign of life of its own.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1…] two for each run: its id, and the fence of the hold, or '-' for one that holds no run
  Returns for each run its fence, when it was cancelled, until when it is watched, and its deadline: null what is not
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
-- @include lib/fence.lua
local signs = {}
for i = 1, #ARGV, 2 do
  local id, fence = ARGV[i], ARGV[i + 1]
  if fence ~= '-' then refusedBy(id, fence) end -- which keeps that it lives, unless it is stale
  signs[#signs + 1] = redis.call('HMGET', runKey(id), 'fence', 'cancelledAt', 'watchedUntil', 'deadlineAt')
end
return signs
