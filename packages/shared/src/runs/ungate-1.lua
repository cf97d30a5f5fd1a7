--[[
  Takes away the stand-ins of gate-1.lua, at the end of its transaction.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  pool
]]
local tag = KEYS[1]
for _, key in ipairs(redis.call('SMEMBERS', tag .. ':refused')) do
  local job = tag .. ':calls-' .. ARGV[1] .. ':' .. key
  if redis.call('HEXISTS', job, 'refused') == 1 then redis.call('DEL', job) end
end
redis.call('DEL', tag .. ':refused')
