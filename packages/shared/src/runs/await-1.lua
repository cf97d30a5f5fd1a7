--[[
  A dispatcher wants to be told when a run ends.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  owner
  ARGV[3]  dispatcher
  ARGV[4]  what a run may be late, ms
  Returns 'unknown' | 'ended' | 'later' | 'overdue' where its deadline is past and nobody drives it
]]
local tag = KEYS[1]
-- @include ../admission/lib/now.lua
-- @include lib/run.lua
local key = runKey(ARGV[1])
local owner, ended, waiters, deadline = unpack(redis.call('HMGET', key, 'owner', 'end', 'waiters', 'deadlineAt'))
if owner ~= ARGV[2] then return 'unknown' end
if ended then return 'ended' end
waiters = waiters or ''
if not (' ' .. waiters .. ' '):find(' ' .. ARGV[3] .. ' ', 1, true) then
  redis.call('HSET', key, 'waiters', waiters .. ' ' .. ARGV[3])
end
local isLate = tonumber(deadline or 'inf') + ARGV[4] < timeMs()
if isLate and redis.call('EXISTS', tag .. ':runs:' .. ARGV[1] .. ':lock') == 0 then return 'overdue' end
return 'later'
