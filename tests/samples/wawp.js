const baseUrl = "https://api.wawp.net";
const endpoint = "/v2/contacts/profile-picture";
const params = new URLSearchParams({
  "instance_id": "123456789",
  "access_token": "123456789",
  "contactId": "123456789@c.us",
  "refresh": "true"
}).toString();


fetch(`${baseUrl}${endpoint}${params ? '?' + params : ''}`, {
  method: "GET",
  headers: { "Content-Type": "application/json" },

})
  .then(async (response) => {
    if (response.ok) {
      const data = await response.json();
      console.log("Success:", data);
      return data;
    }

    // Error Handling
    if (response.status === 401) {
      console.error("Error 401: Unauthorized - Invalid or Missing Access Token");
    }
    if (response.status === 400) {
      console.error("Error 400: Bad Request - Invalid Parameter Format");
    }
    if (response.status === 500) {
      console.error("Error 500: Internal Server Error - Unexpected Failure");
    }

    const errorText = await response.text();
    console.error(`Error ${response.status}: ${errorText}`);
  })
  .catch((error) => console.error("Network Error:", error));
