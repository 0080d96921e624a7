curl --request GET \
  --url https://app.hypersender.com/api/whatsapp/v2/{instance}/contacts/profile-picture \
  --header 'Authorization: Bearer <token>'
