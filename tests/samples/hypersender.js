// Fetch profile picture
const response = await fetch(
  `https://app.hypersender.com/api/whatsapp/v2/${instance}/contacts/profile-picture?chat_id=${chatId}`,
  {
    headers: {
      'Authorization': `Bearer ${apiKey}`,
      'Content-Type': 'application/json'
    }
  }
);

const data = await response.json();

// Use the URL in your UI
if (data.data.profilePictureURL) {
  document.getElementById('avatar').src = data.data.profilePictureURL;
} else {
  // Use a default avatar
  document.getElementById('avatar').src = '/default-avatar.png';
}
