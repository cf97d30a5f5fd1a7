--[[
  Grants what has come due. For the one worker that holds the pump; others get ''.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  the worker
  Returns
    ''        another worker has the pump
    'idle'    nothing is due
    ms        when to come again; now when there was more than one script may do
]]
local tag = KEYS[1]
-- @include lib/now.lua
-- @include lib/later.lua
-- @include lib/bullmq.lua
-- @include lib/buckets.lua
-- @include lib/lanes.lua
-- @include lib/serve.lua
readClock()
if redis.call('GET', tag .. ':pump') ~= ARGV[1] then return '' end
grantAll({})
local due = nextDue()
finish()
redis.call('SET', tag .. ':pump:plan', due or 'inf', 'KEEPTTL')
return due and string.format('%.3f', due) or 'idle'
