--[[
  A dispatcher wants to be told when a run ends.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  run id
  ARGV[2]  owner
  ARGV[3]  dispatcher
  Returns 'unknown' | 'ended' | 'later'
]]
local tag = KEYS[1]
-- @include lib/run.lua
local key = runKey(ARGV[1])
local owner, ended, waiters = unpack(redis.call('HMGET', key, 'owner', 'end', 'waiters'))
if owner ~= ARGV[2] then return 'unknown' end
if ended then return 'ended' end
waiters = waiters or ''
if not (' ' .. waiters .. ' '):find(' ' .. ARGV[3] .. ' ', 1, true) then
  redis.call('HSET', key, 'waiters', waiters .. ' ' .. ARGV[3])
end
return 'later'
