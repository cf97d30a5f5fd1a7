--[[
  Asks whether a call may start now.

  KEYS[1]  outcome of the call
  KEYS[2]  BullMQ's lock of the job
  KEYS[3]  start mark of the call
  ARGV[1]  the lock token that must still be ours
  ARGV[2]  how long a start mark is kept, ms; 0 sets none
  Returns
    ''         go
    'stale'    the job is no longer ours
    'started'  it was started before and may not start again
    JSON       the outcome that stands already
]]
local standing = redis.call('GET', KEYS[1])
if standing then return standing end
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'stale' end
if ARGV[2] ~= '0' and not redis.call('SET', KEYS[3], '1', 'NX', 'PX', ARGV[2]) then return 'started' end
return ''
